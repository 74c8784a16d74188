import { urlHost } from "../../../base/index.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";

/**
 * The names and addresses by which clients of a namespace call a service. They include short names, which a resolver
 * completes with its search domains.
 */
export function serviceDomains(
  service: ServiceModel,
  aliases: readonly string[],
  clientNamespace: string,
  domain: string,
): readonly string[] {
  const names = [service.hostname, ...aliases].flatMap((host) => [host, ...spellings(host, clientNamespace, domain)]);
  const headless = service.resolution === "passthrough" && service.registry === "Kubernetes";
  const perPod = headless ? names.map((name) => `*.${name}`) : [];
  const addresses = service.addresses.filter((address) => !address.includes("/")).map(urlHost);
  return [...names, ...perPod, ...addresses];
}

function spellings(host: string, clientNamespace: string, domain: string): readonly string[] {
  const absolute = host === "*" ? [] : [`${host}.`];
  const suffix = `.svc.${domain}`;
  if (!host.endsWith(suffix)) return absolute;
  const qualified = host.slice(0, -suffix.length);
  const dot = qualified.indexOf(".");
  if (dot < 0) return absolute;
  if (qualified.slice(dot + 1) !== clientNamespace) return [...absolute, qualified, `${qualified}.svc`];
  const short = qualified.slice(0, dot);
  // Leave out `*`, the short form of `*.shop.svc.cluster.local`. It would match every host, and any namespace may have
  // a ServiceEntry with the long form.
  return [...absolute, ...(short === "*" ? [] : [short]), `${qualified}.svc`, qualified];
}
