// From the indices that `chooseClips` gives to frames as a decoder puts them out. For most videos they are the same; they differ where
// timestamps are missing, repeated, or not in the order in which frames come, and torchvision looks frames up by timestamp.

/** The timestamps of a video stream in its own time base; null where there is none. */
export interface FrameTimestamps {
  /** Those that torchvision counted, sorted: indices of frames are places in this list. Not empty. */
  readonly counted: readonly number[];
  /** That of each frame, in the order in which the decoder puts them out. */
  readonly decoded: readonly (number | null)[];
}

/** Whether every index is the place of its frame in the decoder's output. */
export function isPlain({ counted, decoded }: FrameTimestamps): boolean {
  const rises = (time: number | null, place: number) =>
    time !== null && time === counted[place] && (place === 0 || time > counted[place - 1]);
  return counted.length === decoded.length && decoded.every(rises);
}

/**
 * Where in the decoder's output the frames of one clip are, [F]. `indices` are ascending places in `counted`.
 *
 * torchvision's read_video is followed: it keeps the last frame of each timestamp, stops at the first that reaches the clip's end, sorts what
 * lies between the clip's first and last timestamp, and counts from there. Where that yields too few frames the official code
 * fails; here the indices are taken as places in the decoder's output then, so that the video can be looked at all the same.
 */
export function decodedPlaces(indices: readonly number[], times: FrameTimestamps): readonly number[] {
  const first = indices[0];
  const start = times.counted[first];
  const end = times.counted[indices[indices.length - 1]];
  const places = new Map<number, number>();
  for (const [place, time] of times.decoded.entries()) {
    if (time === null) return indices; // comparing None with a number: a TypeError there
    places.set(time, place);
    if (time >= end) break;
  }
  const sorted = [...places].sort(([a], [b]) => a - b);
  const clip = sorted.filter(([time]) => time >= start && time <= end).map(([, place]) => place);
  if (start > 0 && !places.has(start)) {
    const preceding = sorted.findLast(([time]) => time < start);
    if (preceding) clip.unshift(preceding[1]);
  }
  const isLongEnough = indices.every((index) => index - first < clip.length);
  return isLongEnough ? indices.map((index) => clip[index - first]) : indices;
}
