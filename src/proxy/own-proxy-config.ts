import type * as Yaml from "yaml";
import { envString, loadPackage, messageOf, userError, type Environment } from "../base/index.ts";
import { joinProxyConfigs, parseProxyConfig } from "../api/proxy-config-text/index.ts";

const annotation = {
  config: "proxy.istio.io/config",
  discoveryAddress: "sidecar.istio.io/discoveryAddress",
  injected: "sidecar.istio.io/status",
  statusPort: "status.sidecar.istio.io/port",
} as const;

/** The proxy's own settings (ProxyConfig) under upstream's names. The values are unchecked. */
export type OwnProxyConfig = Readonly<Record<string, unknown>>;

/**
 * Joins PROXY_CONFIG and the pod's annotations. As in upstream Istio, an annotation overrides PROXY_CONFIG.
 *
 * The injector has already merged the annotation `proxy.istio.io/config` into PROXY_CONFIG, below the ProxyConfig
 * objects that select the pod. So an injected proxy does not read that annotation again, and needs no YAML parser to
 * start.
 */
export function readOwnProxyConfig(env: Environment, annotations: Readonly<Record<string, string>>): OwnProxyConfig {
  const written = annotations[annotation.config];
  const isMerged = written === undefined || annotations[annotation.injected] !== undefined;
  const ofVariable = readVariable(envString(env, "PROXY_CONFIG", ""));
  const discoveryAddress = annotations[annotation.discoveryAddress];
  return {
    ...(isMerged ? ofVariable : joinProxyConfigs([ofVariable, parseProxyConfig(written)])),
    ...(discoveryAddress === undefined ? {} : { discoveryAddress }),
    ...annotatedPort(annotations[annotation.statusPort]),
  };
}

function annotatedPort(text: string | undefined): { readonly statusPort?: number } {
  if (text === undefined) return {};
  if (/^\d{1,5}$/.test(text)) return { statusPort: Number(text) };
  throw userError("annotation-invalid", `annotation ${annotation.statusPort} must be a port, got "${text}"`);
}

function readVariable(text: string): OwnProxyConfig {
  if (text === "") return {};
  try {
    const value = parse(text);
    if (typeof value === "object" && value !== null) return value as OwnProxyConfig;
  } catch (error) {
    throw userError("env-invalid", `PROXY_CONFIG is not valid YAML: ${messageOf(error)}`);
  }
  throw userError(
    "env-invalid",
    "PROXY_CONFIG must be an object, such as {discoveryAddress: istiod.istio-system.svc:15012}",
  );
}

/** The injector writes JSON. Load the YAML parser only for a text that a person has written. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return loadPackage<typeof Yaml>("yaml").parse(text);
  }
}
