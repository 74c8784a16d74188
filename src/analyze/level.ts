/** With an Error, the mesh does not work as it is configured. Info is only good to know. */
export type Level = "Error" | "Warning" | "Info";

/** The most severe first. */
export const levels: readonly Level[] = ["Error", "Warning", "Info"];

/** Whether the level is at least as severe as the threshold. */
export function reaches(level: Level, threshold: Level): boolean {
  return levels.indexOf(level) <= levels.indexOf(threshold);
}
