import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readSpec, readText, refuseUnknown } from "./fields.ts";
import { readIstioPort, type IstioPort } from "./istio-port.ts";
import { readServerTls, type ServerTls } from "./server-tls.ts";
import { networkingGroup, networkingVersions } from "./virtual-service.ts";

/** networking.istio.io Gateway: what the proxies that it selects listen on. */
export interface IstioGateway extends KubernetesObject {
  spec: IstioGatewaySpec;
}

export interface IstioGatewaySpec {
  readonly servers: readonly GatewayServer[];
  /** Labels of gateway pods; empty selects all. */
  readonly selector: Readonly<Record<string, string>>;
}

export interface GatewayServer {
  readonly port: IstioPort;
  readonly bind?: string | undefined;
  /** `host`, `namespace/host`, `./host` or `*` and a slash before the host: who may attach VirtualServices of it. */
  readonly hosts: readonly string[];
  readonly tls?: ServerTls | undefined;
  readonly name?: string | undefined;
}

export function parseIstioGateway(raw: unknown): Parsed<IstioGateway> {
  const object = new Reader(raw);
  const reader = readSpec(object);
  const spec: IstioGatewaySpec = { servers: reader.list("servers").map(readServer), selector: reader.stringMap("selector") };
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as IstioGateway), spec }));
}

function readServer(reader: Reader): GatewayServer {
  const port = reader.required("port", reader.object("port"));
  const server: GatewayServer = {
    port: port === undefined ? { number: 0 } : readIstioPort(port),
    bind: readText(reader, "bind"),
    hosts: reader.strings("hosts"),
    tls: readServerTls(reader.object("tls")),
    name: readText(reader, "name"),
  };
  reader.ignore("defaultEndpoint");
  refuseUnknown(reader);
  return server;
}

export const istioGatewayKind = defineKind<IstioGateway>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "Gateway",
  plural: "gateways",
  namespaced: true,
  parse: parseIstioGateway,
});
