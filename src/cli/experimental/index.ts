// `serin experimental`: the verbs that istioctl calls experimental.
export { experimentalCommands } from "./experimental-command.ts";
