/** The severity of a message. An Error prevents the mesh from working as configured. Info is only useful to know. */
export type Level = "Error" | "Warning" | "Info";

/** The levels, the most severe first. */
export const levels: readonly Level[] = ["Error", "Warning", "Info"];

/** Whether the level is as severe as the threshold, or more severe. */
export function reaches(level: Level, threshold: Level): boolean {
  return levels.indexOf(level) <= levels.indexOf(threshold);
}
