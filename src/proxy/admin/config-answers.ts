import type { EndpointAnswer } from "../../dataplane/index.ts";
import { certificatesAnswer } from "./certificates-answer.ts";
import { configDump, dumpOfResource, type DumpSources } from "./config-dump.ts";
import { staticListeners } from "./static-resources.ts";

export interface ConfigSources extends DumpSources {
  readonly nowMs: () => number;
}

export function json(value: unknown): EndpointAnswer {
  return { status: 200, contentType: "application/json", body: `${JSON.stringify(value, undefined, 1)}\n` };
}

export function text(body: string): EndpointAnswer {
  return { status: 200, contentType: "text/plain; charset=utf-8", body };
}

/** Answers the admin endpoints that show the present configuration. `target` is the path with its query. */
export function configAnswer(sources: ConfigSources, target: string): EndpointAnswer {
  const url = new URL(target, "http://localhost");
  switch (url.pathname) {
    case "/certs":
      return json(certificatesAnswer(sources.secrets, sources.nowMs()));
    case "/config_dump":
      return dumpAnswer(sources, url);
    case "/listeners":
      return listenersAnswer(sources, url.searchParams.get("format") === "json");
    default:
      return { status: 404, body: `${url.pathname} has no configuration to show\n` };
  }
}

function dumpAnswer(sources: ConfigSources, url: URL): EndpointAnswer {
  const resource = url.searchParams.get("resource");
  const withEndpoints = url.searchParams.has("include_eds") || resource?.includes("endpoint") === true;
  const dump = configDump(sources, withEndpoints);
  if (resource === null) return json({ configs: dump });
  const list = dumpOfResource(dump, resource, url.searchParams.get("name_regex"));
  return list === undefined ? { status: 404, body: `${resource} not found in config dump\n` } : json({ configs: list });
}

function listenersAnswer({ listeners, settings }: ConfigSources, asJson: boolean): EndpointAnswer {
  const all = [
    ...[...listeners.listeners()].flatMap(({ name, addresses }) =>
      addresses.map(({ address, port }) => ({ name, address, port })),
    ),
    ...staticListeners(settings).map(({ name, port }) => ({ name, address: "0.0.0.0", port })),
  ];
  if (!asJson) return text(all.map(({ name, address, port }) => `${name}::${address}:${port}\n`).join(""));
  return json({
    listener_statuses: all.map(({ name, address, port }) => ({
      name,
      local_address: { socket_address: { address, port_value: port } },
    })),
  });
}
