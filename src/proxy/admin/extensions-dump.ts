import { createRegistry, type JsonValue } from "@bufbuild/protobuf";
import { envoyRegistry, TypedExtensionConfigSchema } from "../../wire/envoy/index.ts";
import { WasmSchema } from "../../wire/envoy-wasm/index.ts";
import type { AppliedConfig } from "../applied-config.ts";
import { resourceJson } from "./resource-json.ts";

const type = "type.googleapis.com/envoy";

/**
 * The filter configurations that extension discovery (ECDS) delivered and that a listener names. istioctl needs this
 * part of the dump even if it is empty.
 */
export function extensionsDump(
  extensions: AppliedConfig["extensions"],
  named: ReadonlySet<string>,
): Record<string, unknown> {
  const part = { "@type": `${type}.admin.v3.EcdsConfigDump` };
  const shown = [...extensions].filter(([name]) => named.has(name));
  if (shown.length === 0) return part;
  const registry = createRegistry(envoyRegistry(), WasmSchema);
  return {
    ...part,
    ecds_filters: shown.map(([, { message, version, updatedMs }]) => ({
      version_info: version,
      ecds_filter: {
        "@type": `${type}.config.core.v3.TypedExtensionConfig`,
        ...(withoutSecrets(resourceJson(TypedExtensionConfigSchema, message(), registry)) as object),
      },
      last_updated: new Date(updatedMs).toISOString(),
    })),
  };
}

/**
 * The name of the variable with the credentials for pulling a plugin's image. The dump shows `<redacted>` in place of
 * its value, which no reader of a dump needs.
 */
const secretField = "ISTIO_META_WASM_IMAGE_PULL_SECRET";

function withoutSecrets(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([field, inner]) => [
      field,
      field === secretField ? "<redacted>" : withoutSecrets(inner),
    ]),
  );
}
