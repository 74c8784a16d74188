/** The last line of a stream or a download, or the reason of a WebSocket's close, after the pod was stopped. */
export const goodbye = "goodbye";
/** The WebSocket status for the same event. */
export const goingAway = 1001;

const padding = "x".repeat(900);

export function downloadLine(number: number): string {
  return `line ${number} ${padding}\n`;
}

export function downloadEnd(lines: number): string {
  return `end after ${lines} lines\n`;
}
