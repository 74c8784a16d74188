// The container beside Prometheus that asks it to reload when the configuration has changed. It accepts the flags of
// the two programs that usually do this.
import { systemClock, userError } from "../base/index.ts";
import { watchConfiguration } from "../addons/reloader/index.ts";
import { listenAddress, readFlags, serveWeb, textAnswer, type WebHandler } from "../addons/web/index.ts";
import type { RoleContext } from "./role.ts";

export async function run({ args, log, shutdown }: RoleContext): Promise<number> {
  const flags = readFlags(args);
  const directory = flags.get("watched-dir") ?? flags.get("volume-dir");
  const reloadUrl = flags.get("reload-url") ?? flags.get("webhook-url");
  if (directory === undefined || reloadUrl === undefined)
    throw userError("argument-missing", "the reloader needs --watched-dir and --reload-url", {
      hint: "older names are --volume-dir and --webhook-url",
    });
  const address = flags.get("listen-address");
  const health: WebHandler = async ({ path }) =>
    path === "/healthz" ? textAnswer("OK") : textAnswer("not found\n", 404);
  await Promise.all([
    watchConfiguration({ directory, reloadUrl, clock: systemClock, log }, shutdown.drain),
    address === undefined
      ? Promise.resolve()
      : serveWeb(health, { ...listenAddress("listen-address", address), log }, shutdown.drain),
  ]);
  return 0;
}
