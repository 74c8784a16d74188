export { ConfigDump } from "./config-dump.ts";
export { jsonNames } from "./json-names.ts";
export { proxyConfigCommands } from "./proxy-config-command.ts";
