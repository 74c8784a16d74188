import type { ConnectionInfo, OriginalSource } from "../terms/connection-info.ts";
import type { ConnectionTraits } from "./filter-chain-match.ts";
import type { Inspection } from "./inspection.ts";
import type { ListenerSpec } from "./listener-spec.ts";

export function traitsOf(arrival: ConnectionInfo, inspection: Inspection): ConnectionTraits {
  const { hello, preface, proxied } = inspection;
  const secured = hello.kind === "tls";
  return {
    local: proxied?.local ?? arrival.local,
    remote: proxied?.remote ?? arrival.remote,
    directRemote: arrival.remote,
    serverName: secured ? hello.serverName : "",
    transportProtocol: secured ? "tls" : "raw_buffer",
    applicationProtocols: secured
      ? hello.alpnProtocols
      : preface === "none" || preface === "incomplete"
        ? []
        : [preface],
    source: arrival.source,
  };
}

export function infoOf(
  spec: ListenerSpec,
  arrival: ConnectionInfo,
  traits: ConnectionTraits,
  inspection: Inspection,
): ConnectionInfo {
  const originalSource = originalSourceOf(spec, traits);
  return {
    ...arrival,
    local: traits.local,
    remote: traits.remote,
    ...(inspection.proxied?.remote === undefined ? {} : { directRemote: traits.directRemote }),
    ...(inspection.hello.kind === "tls" && inspection.hello.serverName !== ""
      ? { serverName: inspection.hello.serverName }
      : {}),
    ...(originalSource === undefined ? {} : { originalSource }),
  };
}

function originalSourceOf(
  { inspectors }: ListenerSpec,
  { local, remote }: ConnectionTraits,
): OriginalSource | undefined {
  const rule = inspectors.find(({ kind, enabled }) => kind === "original-source" && enabled(local.port));
  return rule === undefined ? undefined : { address: remote.address, mark: rule.mark };
}
