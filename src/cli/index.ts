// The command line: verbs, in a folder for each subject.
export type { CliContext, ConnectionFlags, OtherVerbs } from "./context.ts";
export { requestLimit, waitingUser } from "./flags.ts";
export { createProgram, isLastingLine } from "./program.ts";
export { CommandEnd } from "./command-end.ts";
export { makeUserDirectory, readUserFile } from "./user-file.ts";
