/** How bad it is. An Error keeps something from working; Info is worth knowing. */
export type Level = "Error" | "Warning" | "Info";

/** From worst to mildest. */
export const levels: readonly Level[] = ["Error", "Warning", "Info"];

/** Whether the level is the threshold or worse. */
export function reaches(level: Level, threshold: Level): boolean {
  return levels.indexOf(level) <= levels.indexOf(threshold);
}
