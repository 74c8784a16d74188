import { runProgram } from "./run-program.ts";

/** Writes everything below `directory/name` as a tar. The same files give the same bytes. */
export function writeTar(file: string, directory: string, name: string): void {
  runProgram("tar", [
    "--create",
    "--file",
    file,
    "--sort=name",
    "--mtime=@0",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--format=posix",
    "--pax-option=delete=atime,delete=ctime",
    "--directory",
    directory,
    name,
  ]);
}
