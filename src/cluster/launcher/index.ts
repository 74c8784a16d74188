// The launcher is the only process of a lab in the user's own network namespace. It starts the supervisor in new
// namespaces.
export { watchOwner } from "./owner-watch.ts";
export { compileCacheDirectory, Launcher, type LauncherProgress } from "./launcher.ts";
export { labHostUid, labRunsAsOtherUser } from "./lab-command.ts";
export type { CreationMessage, LauncherReply, LauncherRequest } from "./messages.ts";
