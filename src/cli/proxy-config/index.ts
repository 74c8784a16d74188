export { proxyConfigCommands } from "./proxy-config-command.ts";
