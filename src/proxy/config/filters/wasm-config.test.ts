import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { envoyRegistry } from "../../../wire/envoy/index.ts";
import { WasmSchema } from "../../../wire/envoy-wasm/index.ts";
import { ConfigNotes } from "../config-check.ts";
import { compileWasm } from "./wasm-config.ts";

const notes = new ConfigNotes(() => undefined);
const remote = {
  remote: { httpUri: { uri: "http://modules.test/a.wasm", cluster: "_", timeout: "30s" }, sha256: "AB" },
};

function compile(config: JsonObject, vmConfig: JsonObject = {}): ReturnType<typeof compileWasm> {
  const message = { config: { name: "a", vmConfig: { code: remote, ...vmConfig }, ...config } };
  return compileWasm(fromJson(WasmSchema, message, { registry: envoyRegistry() }), "test", notes);
}

test("a module's location, settings and environment are read, and the agent's own variables are removed", () => {
  const configuration = { "@type": "type.googleapis.com/google.protobuf.StringValue", value: "text" };
  const environmentVariables = {
    hostEnvKeys: ["SERIN_NO_SUCH_VARIABLE"],
    keyValues: { A: "b", ISTIO_META_WASM_IMAGE_PULL_POLICY: "Always", ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION: "7" },
  };
  const { plugin, environment, code } = compile({ rootId: "root", configuration }, { environmentVariables });
  assert.deepEqual([plugin.name, plugin.rootId, Buffer.from(plugin.configuration).toString()], ["a", "root", "text"]);
  assert.deepEqual(environment, [["A", "b"]]);
  assert.deepEqual(code, {
    kind: "remote",
    url: "http://modules.test/a.wasm",
    sha256: "ab",
    timeoutMs: 30_000,
    version: "7",
    pull: "always",
    secret: "",
  });
});

test("requests of a module that failed are refused, unless the policy says otherwise", () => {
  assert.equal(compile({}).failure, "closed");
  assert.equal(compile({ failOpen: true }).failure, "open");
  assert.equal(compile({ failurePolicy: "FAIL_OPEN" }).failure, "open");
  assert.equal(compile({ failurePolicy: "FAIL_RELOAD" }).failure, "reload");
  assert.equal(compile({ failurePolicy: "FAIL_CLOSED", failOpen: true }).failure, "closed");
});

test("unsupported plugin options are rejected, and the error names them", () => {
  assert.throws(() => compile({ allowOnHeadersStopIteration: true }), /allowOnHeadersStopIteration is not supported/);
  assert.throws(
    () => compile({ capabilityRestrictionConfig: { allowedCapabilities: { proxy_log: {} } } }),
    /capabilityRestrictionConfig is not supported/,
  );
  assert.throws(() => compile({}, { runtime: "envoy.wasm.runtime.null" }), /the runtime envoy\.wasm\.runtime\.null/);
  assert.throws(() => compile({}, { code: { local: { environmentVariable: "A" } } }), /code must name a file/);
});
