export { compileCacheDirectory, Launcher, type LauncherOptions, type LauncherProgress } from "./launcher.ts";
export { labHostUid } from "./lab-command.ts";
export type { LauncherReply, LauncherRequest } from "./messages.ts";
