"""What a gear script can use: GearsBuilder, execute, atomic and the modules redisgears and redisAI."""
