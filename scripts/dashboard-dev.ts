// Serves the dashboard's page over a synthetic mesh, for people who work on the page. Each load bundles the page anew.
// With --built, all loads get the same bundle, for measurements.
//   node scripts/dashboard-dev.ts [--port 20080] [--workloads 20] [--login] [--built]
import { join } from "node:path";
import { createLogger, shutdownOnSignals, systemClock } from "../src/base/index.ts";
import { bundlePage } from "../src/dashboard/bundle/index.ts";
import { AuditLog, DashboardServer, PageAssets } from "../src/dashboard/server/index.ts";
import { syntheticAccess, syntheticIdentity } from "../src/dashboard/server/testing/synthetic-access.ts";
import { syntheticHandlers } from "../src/dashboard/server/testing/synthetic-handlers.ts";
import { SyntheticSource } from "../src/dashboard/server/testing/synthetic-source.ts";
import { numberOption } from "./arguments/number-option.ts";
import { scriptArguments } from "./arguments/script-arguments.ts";

const { values } = scriptArguments(
  {
    command: "node scripts/dashboard-dev.ts",
    help: {
      port: "the port on the loopback; 0 means a free port",
      workloads: "the number of workloads in the mesh",
      login: "require a login by a token",
      built: "bundle the page only once, not at each load",
    },
  },
  {
    port: { type: "string", default: "20080" },
    workloads: { type: "string", default: "20" },
    login: { type: "boolean", default: false },
    built: { type: "boolean", default: false },
  },
);
const web = join(import.meta.dirname, "../src/dashboard/web");
const log = createLogger({ scope: "dashboard-dev" });
const clock = systemClock;
const audit = new AuditLog({ clock, log });
let page = values.built ? PageAssets.from(await bundlePage(web)) : undefined;
const server = new DashboardServer({
  page: async (file) => {
    if (page === undefined || (file === "index.html" && !values.built)) page = PageAssets.from(await bundlePage(web));
    return page;
  },
  root: "",
  access: syntheticAccess({ anonymous: values.login ? undefined : syntheticIdentity() }),
  sessionIdleMs: Infinity,
  sessionMs: Infinity,
  source: new SyntheticSource({ clock, workloads: numberOption("--workloads", values.workloads, { isWhole: true }) }),
  handlers: syntheticHandlers({ clock, audit }),
  checkTopic: async () => await Promise.resolve(),
  audit,
  clock,
  log,
  version: "dev",
});
await server.run(
  { host: "127.0.0.1", ports: [numberOption("--port", values.port, { isWhole: true, minimum: 0 })] },
  shutdownOnSignals().drain,
  (port) => process.stdout.write(`http://127.0.0.1:${port}/\n`),
);
