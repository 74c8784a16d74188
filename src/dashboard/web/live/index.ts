// The page's connection to the server, and the topics that it follows.
export type { LiveState } from "./live-connection.ts";
export { liveSources, liveState, serverNowMs, startLive, type Live } from "./live-topics.ts";
export { useLive } from "./use-live.ts";
