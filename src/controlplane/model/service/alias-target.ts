import type { CollectionReader } from "../../../kube/index.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

/** The maximum number of ExternalName Services between an alias and its host. DNS resolvers have such a limit too. */
const maxHops = 16;

/**
 * The host to which an ExternalName Service leads, through further ones. As in upstream Istio, an alias in a circle
 * leads to no service. Its own external name is then returned.
 */
export function aliasTarget(
  externalName: string,
  domain: string,
  { services }: Pick<MeshInputs, "services">,
  reader: CollectionReader,
): string {
  const suffix = `.svc.${domain}`;
  let host = externalName;
  for (let hop = 0; hop < maxHops; hop += 1) {
    const next = host.endsWith(suffix) ? reader.get(services, keyIn(host.slice(0, -suffix.length))) : undefined;
    if (next?.type !== "ExternalName") return host;
    host = next.externalName;
  }
  return externalName;
}

/** The key `namespace/name` of a Service that is written as `name.namespace`. */
function keyIn(name: string): string {
  const dot = name.indexOf(".");
  return `${name.slice(dot + 1)}/${name.slice(0, dot)}`;
}
