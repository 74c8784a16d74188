import { formatAuthority } from "../../../wire/hbone/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import { fileAccessLogs, istioTextStart, type AccessLogInit } from "./access-log.ts";

/** The variable in the mesh's `proxyMetadata` that enables the log format of ambient's first release (2022). */
const switchName = "SERIN_LOG_FORMAT";
const noAddress = "envoy://internal_client_address/";

export function writesLogsOf2022(mesh: Pick<MeshSettings, "proxyMetadata">): boolean {
  return mesh.proxyMetadata[switchName] === "2022";
}

/** The log lines of a waypoint of 2022 for a service's requests: one towards the pod, and one towards the service. */
export function serviceLogsOf2022(host: string, port: number, mesh: MeshSettings): readonly AccessLogInit[] {
  const pod = "inbound-pod|%UPSTREAM_REMOTE_PORT%||%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%";
  const lines = [
    `"envoy://inbound_CONNECT_originate/%UPSTREAM_HOST%" ${pod} ${noAddress} envoy://${pod}/ ${noAddress} - %ROUTE_NAME%`,
    `"envoy://${pod}/" %UPSTREAM_CLUSTER_RAW% ${noAddress} envoy://inbound-vip|${port}||${host}/ ${noAddress} - %ROUTE_NAME%`,
  ];
  return lines.flatMap((end) => textLog(`${istioTextStart} ${end}`, mesh));
}

/**
 * A log for each address and port of the services. It writes an additional line for each tunnel to the address and
 * port.
 */
export function tunnelLogsOf2022(
  services: readonly {
    readonly host: string;
    readonly addresses: readonly string[];
    readonly ports: readonly number[];
  }[],
  mesh: MeshSettings,
): readonly AccessLogInit[] {
  return services.flatMap(({ host, addresses, ports }) =>
    ports.flatMap((port) =>
      addresses.flatMap((address) => tunnelLog(host, port, formatAuthority(address, port), mesh)),
    ),
  );
}

function tunnelLog(host: string, port: number, authority: string, mesh: MeshSettings): AccessLogInit[] {
  const end = `"envoy://inbound-vip|${port}||${host}/" inbound-vip|${port}|internal|${host} ${noAddress} %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% - -`;
  const header = {
    name: ":authority",
    headerMatchSpecifier: {
      case: "stringMatch" as const,
      value: { matchPattern: { case: "exact" as const, value: authority } },
    },
  };
  return textLog(`${istioTextStart} ${end}`, mesh).map((log) => ({
    ...log,
    filter: { filterSpecifier: { case: "headerFilter", value: { header } } },
  }));
}

function textLog(format: string, mesh: MeshSettings): AccessLogInit[] {
  // This format is written even if the mesh config disables access logs.
  return fileAccessLogs({
    path: mesh.accessLogFile === "" ? "/dev/stdout" : mesh.accessLogFile,
    encoding: "TEXT",
    format,
  });
}
