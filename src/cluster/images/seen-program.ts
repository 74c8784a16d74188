import { realpathSync } from "node:fs";
import { join, sep } from "node:path";
import { userError } from "../../base/index.ts";

export interface VisibleDirectories {
  readonly releaseRoot: string;
  /** The names of the directories in the machine's root that containers see. */
  readonly ofMachine: readonly string[];
}

/**
 * Throws a user error if containers cannot see a program of the user's catalogue. Its path must be in the release tree
 * or in the directories of the machine's programs. A path in the release tree must not lead outside through a link. A
 * name without a slash is found by PATH, and passes.
 */
export function checkProgramIsSeen(image: string, program: string, directories: VisibleDirectories): void {
  if (!program.includes("/") || program.startsWith("/opt/") || isSeen(program, directories)) return;
  throw userError(
    "image-program-unseen",
    `containers cannot see "${program}", the program for image "${image}": expected a file in the release tree ${directories.releaseRoot} or below ${directories.ofMachine
      .slice(0, 4)
      .map((name) => `/${name}`)
      .join(", ")}, without links that lead elsewhere; put the program there and change its entry in images.yaml`,
  );
}

function isSeen(program: string, { releaseRoot, ofMachine }: VisibleDirectories): boolean {
  const isOfMachine = (path: string): boolean => ofMachine.includes(path.split(sep)[1] ?? "");
  if (program.startsWith("/")) return isOfMachine(program);
  try {
    const path = realpathSync(join(releaseRoot, program));
    return isOfMachine(path) || path.startsWith(`${realpathSync(releaseRoot)}${sep}`);
  } catch {
    return false;
  }
}
