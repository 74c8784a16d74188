export { compileCacheDirectory, Launcher, type LauncherOptions, type LauncherProgress } from "./launcher.ts";
export { labHostUid, labRunsAsOtherUser } from "./lab-command.ts";
export type { LauncherReply, LauncherRequest } from "./messages.ts";
