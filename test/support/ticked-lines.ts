/** The lines in an installation's output that say what is done, without those that say what it waits for. */
export function tickedLines(output: string): string {
  return output
    .split("\n")
    .filter((line) => line.startsWith("✔"))
    .join("\n");
}
