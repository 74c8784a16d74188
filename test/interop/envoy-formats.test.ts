// Asks a stock Envoy which formats it accepts as the value of a header, and compares its answers with Serin's.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { headerValueFault } from "../../src/api/istio/expressions/http-headers.ts";
import {
  newFormats,
  rejectedFormats,
  strangeFormats,
  takenFormats,
} from "../../src/api/istio/testing/format-verdicts.ts";
import { operatorNames } from "../../src/base/command-operators/index.ts";
import { until } from "../../src/base/testing/index.ts";

const envoy = join(import.meta.dirname, "../../.cache/interop/envoy");

/** Envoy always rejects this format. When it has done so, it has read all listeners. */
const faulty = "%THE_END%";

const typed = (type: string, rest: object): object => ({
  "@type": `type.googleapis.com/envoy.${type}`,
  ...rest,
});

/** A listener with one format. Envoy can then reject the one and accept the others. */
function listener(format: string, index: number): object {
  const route = {
    match: { prefix: "/" },
    direct_response: { status: 200 },
    request_headers_to_add: [{ header: { key: "x-a", value: format } }],
  };
  const manager = typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
    stat_prefix: "x",
    route_config: { virtual_hosts: [{ name: "a", domains: ["*"], routes: [route] }] },
    http_filters: [{ name: "router", typed_config: typed("extensions.filters.http.router.v3.Router", {}) }],
  });
  return typed("config.listener.v3.Listener", {
    name: `format-${index}`,
    address: { socket_address: { address: "127.0.0.1", port_value: 1 + index } },
    bind_to_port: false,
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  });
}

async function rejectedOf(formats: readonly string[]): Promise<ReadonlySet<string>> {
  const directory = mkdtempSync(join(tmpdir(), "serin-formats-"));
  const file = (name: string): string => join(directory, name);
  writeFileSync(file("listeners.json"), JSON.stringify({ resources: [...formats, faulty].map(listener) }));
  writeFileSync(
    file("envoy.json"),
    JSON.stringify({
      node: { id: "a", cluster: "a" },
      dynamic_resources: { lds_config: { path_config_source: { path: file("listeners.json") } } },
    }),
  );
  const logging = ["--log-level", "warning", "--log-path", file("log"), "--file-flush-interval-msec", "100"];
  const options = ["-c", file("envoy.json"), "--concurrency", "1", "--use-dynamic-base-id", ...logging];
  const child = spawn(envoy, options, { stdio: "ignore" });
  try {
    const log = await until(() => {
      const text = existsSync(file("log")) ? readFileSync(file("log"), "utf8") : "";
      assert.equal(child.exitCode ?? child.signalCode, null, `Envoy ended: ${text.slice(-2000)}`);
      return text.includes("config update rejected") && text;
    }, "Envoy has read the listeners");
    const found = [...log.matchAll(/listener 'format-(\d+)' config rejected/g)].map(([, index]) => Number(index));
    assert.ok(found.includes(formats.length), "Envoy takes a format with an unknown operator");
    return new Set(found.flatMap((index) => formats[index] ?? []));
  } finally {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}

test("a stock Envoy has the verdicts of the table", async () => {
  assert.ok(existsSync(envoy), "there is no .cache/interop/envoy: scripts/fetch/envoy.sh puts it there");
  const taken = [...takenFormats, ...newFormats, ...strangeFormats];
  const rejected = await rejectedOf([...taken, ...rejectedFormats]);
  assert.deepEqual(
    taken.filter((format) => rejected.has(format)),
    [],
  );
  assert.deepEqual(
    rejectedFormats.filter((format) => !rejected.has(format)),
    [],
  );
});

test("a stock Envoy takes every format that a header may have", async () => {
  const operands = ["", "()", "(x)", "(a b)", "(a?b)", "(a?b?c)", "(a:b)", "(a:b:c)", "(a(b))", "(a:PLAIN)", "(%Y)"];
  const options = ["(NQ)", "(NUMBER)", "(SNI_FIRST)", "(ROUTE)", "(ROUTE:a)", "(a:FIELD:b)", '(["a", "b"])', "(1 +)"];
  const admitted = [...operatorNames]
    .flatMap((name) => [...operands, ...options].flatMap((operand) => [`%${name}${operand}%`, `%${name}${operand}:5%`]))
    .filter((format) => headerValueFault(format) === undefined);
  // Without formats, the comparison would prove nothing.
  assert.ok(admitted.length > operatorNames.size, `${admitted.length} formats`);
  assert.deepEqual([...(await rejectedOf(admitted))], []);
});
