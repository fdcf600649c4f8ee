"""What detections say about people, or other objects: tracks, crossings, zones, alarms, estimates and scores.

Pure functions and plain objects: no Redis, no clock, no files. Whoever calls them brings the boxes and the times, and
keeps the state.

    tracking        people with ids, from the boxes of one frame after the other
    looking         in which frames the model looks for people, and when they are known without
    colours         colours of people's clothes, for the estimate of different people
    scene           lines, zones and masks of a camera, read and checked
    counting        crossings of lines, and people in zones, from the people of one frame after the other
    rules, alarms   rules of a scene, and the alarms that they raise and clear
    counted         what is counted, the words for it, and its series
    other_class     what becomes of the series when another class is counted than before
    scoring         how good boxes, tracks and counts are, compared with the truth
    ground_truth    reads the truth from text: MOT files and tables of counts

The other modules are parts of these.
"""
