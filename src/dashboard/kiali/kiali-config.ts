import { parse } from "yaml";
import { messageOf, userError, withoutEnd } from "../../base/index.ts";

/** The fields of Kiali's configuration that have an effect here. All others are accepted and ignored. */
export interface KialiConfig {
  readonly prometheusUrl: string;
  readonly rootNamespace: string;
  readonly port: number;
  /** For example `/kiali`, without a slash at its end. Empty for the root. */
  readonly webRoot: string;
  readonly metricsPort: number;
  /**
   * Whether users without a login read with the server's own account. This is the case for the strategy `anonymous`.
   * Every other strategy first requires a login with a token.
   */
  readonly anonymousReads: boolean;
}

const defaultPort = 20_001;
const defaultMetricsPort = 9090;

/**
 * Reads `config.yaml` of Kiali's ConfigMap. Throws a user error for invalid YAML, and for an invalid value of a field
 * that has an effect.
 */
export function parseKialiConfig(text: string, source: string): KialiConfig {
  let document: unknown;
  try {
    document = parse(text, { logLevel: "error" });
  } catch (error) {
    throw userError("file-invalid", `${source} is not valid YAML: ${messageOf(error)}`);
  }
  const at = (...path: readonly string[]): unknown =>
    path.reduce<unknown>(
      (value, name) =>
        typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined,
      document,
    );
  const readText = (fallback: string, ...path: readonly string[]): string => {
    const value = at(...path) ?? fallback;
    if (typeof value !== "string") throw userError("file-invalid", `${source}: ${path.join(".")}: expected a string`);
    return value === "" ? fallback : value;
  };
  const port = (fallback: number, ...path: readonly string[]): number => {
    const value = Number(at(...path) ?? fallback);
    if (!Number.isInteger(value) || value < 1 || value > 65_535)
      throw userError("file-invalid", `${source}: ${path.join(".")}: expected a port`);
    return value;
  };
  const rootNamespace = readText("istio-system", "external_services", "istio", "root_namespace");
  const metrics =
    at("server", "observability", "metrics", "port") === undefined
      ? ["server", "metrics_port"]
      : ["server", "observability", "metrics", "port"];
  return {
    rootNamespace,
    prometheusUrl: readText(`http://prometheus.${rootNamespace}:9090`, "external_services", "prometheus", "url"),
    port: port(defaultPort, "server", "port"),
    webRoot: withoutEnd(readText("/kiali", "server", "web_root"), "/"),
    metricsPort: port(defaultMetricsPort, ...metrics),
    anonymousReads: readText("token", "auth", "strategy") === "anonymous",
  };
}
