import { BoundedCache, isTree } from "../../base/index.ts";
import { groupVersionOf } from "../../api/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import { errorOfStatus, type KubeClient } from "../../kube/index.ts";

const maxKinds = 256;
/** The maximum number of a group's versions that are tried. Usual groups have fewer. */
const maxVersions = 8;
/** The statuses of a response without a discovery document: it does not exist, or the engine may not read it. */
const unknownStatuses: ReadonlySet<number> = new Set([401, 403, 404]);

/**
 * The versions in which the server serves the kinds of a rollout. They may change in the middle of a run, because
 * somebody replaces a CustomResourceDefinition. The objects stay, but a request with the former version finds none of
 * them, and undo would treat them as deleted.
 */
export class ServedVersions {
  readonly #client: Pick<KubeClient, "raw">;
  /** The present `apiVersion` of each kind that the server no longer serves in the version of the references. */
  readonly #others = new BoundedCache<string, string>(maxKinds);

  constructor(client: Pick<KubeClient, "raw">) {
    this.#client = client;
  }

  served(object: ObjectReference): ObjectReference {
    const apiVersion = this.#others.get(keyOf(object));
    return apiVersion === undefined ? object : { ...object, apiVersion };
  }

  /**
   * Looks for a version that the server serves. Returns whether it found another one than before. Groups without a
   * domain (such as `apps`) are Kubernetes' own, so their version never changes.
   */
  async lookAgain(object: ObjectReference): Promise<boolean> {
    const group = groupVersionOf(object.apiVersion).group;
    if (!group.includes(".")) return false;
    const before = this.served(object).apiVersion;
    if (await this.#isServed(before, object.plural)) return false;
    const found = await this.#find(group, object.plural, before);
    if (found === undefined) return false;
    if (found === object.apiVersion) this.#others.delete(keyOf(object));
    else this.#others.set(keyOf(object), found);
    return true;
  }

  async #find(group: string, plural: string, except: string): Promise<string | undefined> {
    const { versions = [] } = (await this.#read(`/apis/${group}`)) as { readonly versions?: unknown };
    const names = (Array.isArray(versions) ? versions : []).flatMap((version: unknown) =>
      isTree(version) && typeof version["groupVersion"] === "string" ? [version["groupVersion"]] : [],
    );
    for (const name of names.slice(0, maxVersions))
      if (name !== except && (await this.#isServed(name, plural))) return name;
    return undefined;
  }

  async #isServed(apiVersion: string, plural: string): Promise<boolean> {
    const { resources = [] } = (await this.#read(`/apis/${apiVersion}`)) as { readonly resources?: unknown };
    return (
      Array.isArray(resources) && resources.some((resource: unknown) => isTree(resource) && resource["name"] === plural)
    );
  }

  async #read(path: string): Promise<object> {
    const { status, text } = await this.#client.raw("GET", path);
    if (unknownStatuses.has(status)) return {};
    if (status >= 300) throw errorOfStatus({ verb: "get", object: path }, status, text);
    const document: unknown = JSON.parse(text);
    return isTree(document) ? document : {};
  }
}

function keyOf(object: ObjectReference): string {
  return `${object.apiVersion} ${object.plural}`;
}
