// How player and charts show times: those of the clock in the browser's time zone, those of recordings as positions.

const TIME_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

function clock(time, seconds = true) {
  const date = new Date(time);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
}

// A position in a video as video players show it: 0:42, 1:02:03 (time_zones.py does the same).
function positionText(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
