// What the server of the long answers and its clients agree on.

/** The pod is told to end: the last line of a stream or a download, the reason of a WebSocket's close. */
export const goodbye = "goodbye";
/** WebSocket's status for it. */
export const goingAway = 1001;

const padding = "x".repeat(900);

export function downloadLine(number: number): string {
  return `line ${number} ${padding}\n`;
}

export function downloadEnd(lines: number): string {
  return `end after ${lines} lines\n`;
}
