import type { CollectionReader } from "../../../kube/index.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

/** How many ExternalName Services may be between an alias and its host. DNS resolvers have such a limit, too. */
const maxHops = 16;

/**
 * The host to which an ExternalName Service leads, through other ExternalName Services. As in upstream Istio, an alias
 * in a circle leads to no service; its own external name is returned then.
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

/** Converts `name.namespace` to `namespace/name`. */
function keyIn(name: string): string {
  const dot = name.indexOf(".");
  return `${name.slice(dot + 1)}/${name.slice(0, dot)}`;
}
