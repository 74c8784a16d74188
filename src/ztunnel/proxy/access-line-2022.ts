import type { Random } from "../../base/index.ts";
import type { SocketAddress } from "../../net/index.ts";
import { formatAuthority } from "../../wire/hbone/index.ts";
import { workloadIdentity } from "../state/model.ts";
import type { EndedConnection, ResponseFlag } from "./connection-record.ts";

const noAddress = "envoy://internal_client_address/";

/**
 * Formats an access log line like the ztunnel of ambient's first release in 2022. That ztunnel was an Envoy. The line
 * ends with the name of the connection's path, such as `capture outbound`.
 */
export function accessLine2022(ended: EndedConnection, random: Random): string {
  return `[${new Date(ended.startedMs).toISOString()}] ${ended.details.reporter === "source" ? outbound(ended) : inbound(ended, random)}\n`;
}

function outbound({ details, durationMs, forwardBytes, backwardBytes, flag }: EndedConnection): string {
  const {
    sourceAddress,
    destinationAddress,
    originalDestination = destinationAddress,
    service,
    destination,
    hboneTarget,
  } = details;
  const identity = details.source === undefined ? "-" : workloadIdentity(details.source);
  const start = `"- - -" 0 ${flagOf(flag)} - - "-" ${forwardBytes} ${backwardBytes} ${Math.floor(durationMs)} - "-" "-" "-" "-"`;
  const end = `${text(originalDestination)} ${text(sourceAddress)} - -`;
  if (details.toWaypoint === true) {
    const waypoint = destination === undefined ? "-" : workloadIdentity(destination);
    return `${start} "${text(destinationAddress)}" ${identity}_to_server_waypoint_proxy_${waypoint} - ${end} capture outbound (to server waypoint proxy)`;
  }
  if (hboneTarget === undefined)
    return `${start} "${text(destinationAddress)}" ${identity}_to_original_dst - ${end} capture outbound (no waypoint proxy)`;
  const requested =
    service === undefined
      ? text(originalDestination)
      : `${service.protocols?.get(originalDestination.port) ?? "tcp"}_${service.hostname}`;
  return `${start} "envoy://outbound_tunnel_lis_${identity}/${hboneTarget}" ${identity}_to_${requested}_outbound_internal ${noAddress} ${end} capture outbound (no waypoint proxy)`;
}

function inbound({ details, durationMs, forwardBytes, backwardBytes, flag }: EndedConnection, random: Random): string {
  const { sourceAddress, destinationAddress, hboneTarget } = details;
  const counts = `${forwardBytes} ${backwardBytes} ${Math.floor(durationMs)}`;
  const ends = `${text(destinationAddress)} ${text(sourceAddress)} - -`;
  if (hboneTarget === undefined)
    return `"- - -" 0 ${flagOf(flag)} - - "-" ${counts} - "-" "-" "-" "-" "${text(destinationAddress)}" virtual_inbound ${text(sourceAddress)} ${ends} inbound passthrough`;
  const { status, why } = answerOf(flag);
  return `"CONNECT - HTTP/2" ${status} ${flagOf(flag)} ${why} - "-" ${counts} - "-" "-" "${requestId(random)}" "${hboneTarget}" "${hboneTarget}" virtual_inbound ${text(sourceAddress)} ${ends} inbound hcm`;
}

function answerOf(flag: ResponseFlag): { readonly status: number; readonly why: string } {
  if (flag === "-") return { status: 200, why: "via_upstream" };
  return flag === "DENY"
    ? { status: 401, why: "rbac_access_denied" }
    : { status: 503, why: "upstream_reset_before_response_started" };
}

function flagOf(flag: ResponseFlag): string {
  return flag === "-" || flag === "DENY" ? "-" : "UF";
}

function text({ address, port }: SocketAddress): string {
  return formatAuthority(address, port);
}

const hexDigits = 16;

/** A UUID of version 4. */
function requestId(random: Random): string {
  const digits = (count: number): string =>
    Array.from({ length: count }, () => Math.floor(random() * hexDigits).toString(hexDigits)).join("");
  const variant = (8 + Math.floor(random() * 4)).toString(hexDigits);
  return `${digits(8)}-${digits(4)}-4${digits(3)}-${variant}${digits(3)}-${digits(12)}`;
}
