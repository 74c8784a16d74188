export { experimentalCommands } from "./experimental-command.ts";
