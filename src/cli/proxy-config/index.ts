// `serin proxy-config`: the configuration of one proxy, as tables or as it was received.
export { proxyConfigCommands } from "./proxy-config-command.ts";
