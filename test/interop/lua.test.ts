// Runs the same scripts in Serin's proxy and in a stock Envoy, and compares requests and responses.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fromJson } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { until } from "../../src/base/testing/index.ts";
import { guardedScript } from "../../src/controlplane/translate/guarded-script.ts";
import { ConfigNotes } from "../../src/proxy/config/config-check.ts";
import { compileHttpFilters } from "../../src/proxy/config/filters/http-filter-config.ts";
import { standaloneServices } from "../../src/proxy/filters/filter-services.ts";
import { LuaScripts } from "../../src/proxy/filters/lua/index.ts";
import { fetchOnce, forwardTo, Harness, route, tableOf } from "../../src/proxy/testing/harness.ts";
import { clusterCaller } from "../../src/proxy/upstream/cluster-call.ts";
import { envoyRegistry, HttpConnectionManagerSchema } from "../../src/wire/envoy/index.ts";
import { luaCases, type LuaCase } from "./lua/lua-cases.ts";

const envoy = join(import.meta.dirname, "../../.cache/interop/envoy");

const luaFilter = (script: string): object => ({
  name: "envoy.filters.http.lua",
  typedConfig: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
    defaultSourceCode: { inlineString: script },
  },
});

function answer(request: IncomingMessage, response: ServerResponse): void {
  let body = "";
  request.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
  request.on("end", () => {
    response.statusCode = request.url === "/missing" ? 404 : 200;
    response.setHeader("x-up", ["1", "2"]);
    response.setHeader(
      "x-got",
      `${request.method} ${request.url} ${String(request.headers["x-a"])} ${String(request.headers["x-c"])}`,
    );
    response.end(`echo ${body}.`);
  });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createTcpServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function bootstrap(scripts: readonly string[], ports: readonly number[], upstreamPort: number): object {
  const address = (port: number): object => ({ socketAddress: { address: "127.0.0.1", portValue: port } });
  const listeners = scripts.map((script, index) => ({
    name: `case_${index}`,
    address: address(ports[index] ?? 0),
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typedConfig: {
              "@type":
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              statPrefix: "case",
              serverName: "istio-envoy",
              useRemoteAddress: true,
              routeConfig: {
                virtualHosts: [
                  { name: "any", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "upstream" } }] },
                ],
              },
              httpFilters: [
                luaFilter(script),
                {
                  name: "envoy.filters.http.router",
                  typedConfig: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
                },
              ],
            },
          },
        ],
      },
    ],
  }));
  const endpoints = [{ lbEndpoints: [{ endpoint: { address: address(upstreamPort) } }] }];
  const clusters = [{ name: "upstream", type: "STATIC", loadAssignment: { clusterName: "upstream", endpoints } }];
  return { staticResources: { listeners, clusters } };
}

/** The response's status, body, and the headers that do not depend on time. */
async function outcome(port: number, { method = "GET", path = "/", body, headers = {} }: LuaCase): Promise<string> {
  const response = await fetchOnce(port, path, { method, headers, ...(body === undefined ? {} : { body }) });
  const fields = Object.entries(response.headers)
    .filter(([name]) => !["date", "connection", "keep-alive"].includes(name))
    .map(([name, value]) => (name === "x-envoy-upstream-service-time" ? name : `${name}: ${String(value)}`));
  return `${response.status} ${JSON.stringify(response.body)} ${fields.sort().join("; ")}`;
}

async function serinOutcome(one: LuaCase, upstreamPort: number): Promise<string> {
  const clusters: { current?: Harness } = {};
  const callCluster = clusterCaller((name) => clusters.current?.clusters.get(name));
  const scripts = new LuaScripts({ clock: systemClock, callCluster, log: silentLogger });
  const notes = new ConfigNotes(() => undefined, { ...standaloneServices(), callCluster, scripts });
  const manager = fromJson(
    HttpConnectionManagerSchema,
    { httpFilters: [luaFilter(one.script)] as never },
    { registry: envoyRegistry() },
  );
  const { filters } = compileHttpFilters(manager.httpFilters, "http.case.", "case", notes);
  await using harness = await Harness.start({ filters, filtersIdle: false });
  clusters.current = harness;
  harness.cluster("upstream", [upstreamPort]);
  harness.table = tableOf(route(forwardTo("upstream")));
  return await outcome(harness.port, one);
}

/** Starts an upstream, and an Envoy with a listener for each script. Fails if Envoy rejects one of them. */
async function withEnvoy(
  scripts: readonly string[],
  use: (ports: readonly number[], upstreamPort: number) => Promise<void>,
): Promise<void> {
  assert.ok(existsSync(envoy), "there is no .cache/interop/envoy: scripts/fetch/envoy.sh puts it there");
  const upstream = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((resolve) => upstream.once("listening", resolve));
  const upstreamPort = (upstream.address() as AddressInfo).port;
  const ports = await freePorts(scripts.length);
  const directory = mkdtempSync(join(tmpdir(), "serin-lua-"));
  const file = join(directory, "envoy.json");
  writeFileSync(file, JSON.stringify(bootstrap(scripts, ports, upstreamPort)));
  const program = spawn(envoy, ["-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"], {
    stdio: "ignore",
  });
  try {
    await until(() => {
      assert.equal(program.exitCode ?? program.signalCode, null, "Envoy has ended");
      return outcome(ports[0] ?? 0, { name: "", script: "" }).then(
        () => true,
        () => false,
      );
    });
    await use(ports, upstreamPort);
  } finally {
    if (program.exitCode === null) {
      program.kill("SIGKILL");
      await new Promise((resolve) => program.once("exit", resolve));
    }
    upstream.closeAllConnections();
    upstream.close();
    rmSync(directory, { recursive: true });
  }
}

test("scripts behave in the proxy like in a stock Envoy", { timeout: 120_000 }, async () => {
  const scripts = luaCases.map(({ script }) => script);
  await withEnvoy(scripts, async (ports, upstreamPort) => {
    const differences: string[] = [];
    for (const [index, one] of luaCases.entries()) {
      const [theirs, ours] = [await outcome(ports[index] ?? 0, one), await serinOutcome(one, upstreamPort)];
      if (theirs !== ours) differences.push(`${one.name}\n  envoy ${theirs}\n  serin ${ours}`);
    }
    assert.equal(differences.join("\n"), "");
  });
});

test(
  "a shared Envoy takes each script of a service, and only that service's requests fail",
  { timeout: 120_000 },
  async () => {
    const faulty = ["x = = 1", 'error("stop")', "error({})", "a]]]=]", "local a = [[ no end"];
    const cases: readonly LuaCase[] = [...luaCases, ...faulty.map((script) => ({ name: script, script }))];
    const scripts = [...luaCases.map(({ script }) => script), ...cases.map(({ script }) => guardedScript(script))];
    await withEnvoy(scripts, async (ports) => {
      const guardedPorts = ports.slice(luaCases.length);
      for (const [index, one] of luaCases.entries())
        assert.equal(await outcome(guardedPorts[index] ?? 0, one), await outcome(ports[index] ?? 0, one), one.name);
      for (const [index, { name }] of cases.entries()) {
        if (index < luaCases.length) continue;
        assert.match(await outcome(guardedPorts[index] ?? 0, { name, script: "" }), /^500 /, name);
      }
    });
  },
);
