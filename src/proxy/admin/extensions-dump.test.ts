import assert from "node:assert/strict";
import { test } from "node:test";
import { create, createRegistry, fromJson } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { envoyRegistry, TypedExtensionConfigSchema } from "../../wire/envoy/index.ts";
import { WasmSchema } from "../../wire/envoy-wasm/index.ts";
import { extensionsDump } from "./extensions-dump.ts";

const applied = (message: unknown) => ({ version: "7", updatedMs: 0, body: new Uint8Array(), message: () => message });

function dumped(extensions: ReadonlyMap<string, unknown>): unknown {
  const named = new Set(["shop.a", "f"]);
  return extensionsDump(extensions as Parameters<typeof extensionsDump>[0], named)["ecds_filters"];
}

test("a plugin's configuration is dumped whole, but for the credentials that pull its image", () => {
  const message = fromJson(
    TypedExtensionConfigSchema,
    {
      name: "shop.a",
      typedConfig: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        config: {
          name: "a",
          vmConfig: { environmentVariables: { keyValues: { A: "b", ISTIO_META_WASM_IMAGE_PULL_SECRET: "secret" } } },
        },
      },
    },
    { registry: createRegistry(envoyRegistry(), WasmSchema) },
  );
  assert.deepEqual(dumped(new Map([["shop.a", applied(message)]])), [
    {
      version_info: "7",
      last_updated: "1970-01-01T00:00:00.000Z",
      ecds_filter: {
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        name: "shop.a",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
          config: {
            name: "a",
            vm_config: {
              environment_variables: { key_values: { A: "b", ISTIO_META_WASM_IMAGE_PULL_SECRET: "<redacted>" } },
            },
          },
        },
      },
    },
  ]);
});

test("a configuration that no listener names is not dumped", () => {
  const message = create(TypedExtensionConfigSchema, { name: "kept" });
  assert.equal(dumped(new Map([["kept", applied(message)]])), undefined);
});

test("a configuration of a type that this proxy does not know is dumped by its type", () => {
  const typedConfig = create(AnySchema, { typeUrl: "type.googleapis.com/acme.Filter", value: new Uint8Array([8, 1]) });
  const message = create(TypedExtensionConfigSchema, { name: "f", typedConfig });
  assert.match(
    JSON.stringify(dumped(new Map([["f", applied(message)]]))),
    /a message of the type acme\.Filter, which this proxy/,
  );
});
