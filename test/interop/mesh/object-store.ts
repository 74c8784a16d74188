// Writes objects of any kind and their status to an API server. Reads and deletes them too.
import { Agent, request } from "node:https";
import type { UntypedObject } from "../../../src/api/index.ts";

export interface AdminAccess {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

interface KindPlace {
  readonly plural: string;
  readonly namespaced: boolean;
  readonly hasStatus: boolean;
}

export interface StoredObject {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
}

const groupTimeoutMs = 30_000;
const lookMs = 50;

export class ObjectStore {
  readonly #access: AdminAccess;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });
  readonly #places = new Map<string, Map<string, KindPlace>>();

  constructor(access: AdminAccess) {
    this.#access = access;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Creates the object, or replaces one that exists. Throws the server's message if it refuses. */
  async create(object: UntypedObject): Promise<StoredObject> {
    const place = await this.#placeOf(object);
    const path = pathOf(object, place);
    const { status, ...body } = object as UntypedObject & { status?: unknown };
    let answer = await this.#send("POST", path, body);
    if (answer.status === 409) {
      const known = JSON.parse((await this.#send("GET", `${path}/${object.metadata.name}`)).text) as UntypedObject;
      answer = await this.#send("PUT", `${path}/${object.metadata.name}`, {
        ...body,
        metadata: { ...body.metadata, resourceVersion: known.metadata.resourceVersion ?? "" },
      });
    }
    if (answer.status >= 300) throw new Error(`${describe(object)}: ${messageIn(answer.text)}`);
    let stored = JSON.parse(answer.text) as UntypedObject;
    if (status !== undefined && place.hasStatus) {
      const written = await this.#send("PUT", `${path}/${object.metadata.name}/status`, { ...stored, status });
      if (written.status >= 300) throw new Error(`the status of ${describe(object)}: ${messageIn(written.text)}`);
      stored = JSON.parse(written.text) as UntypedObject;
    }
    return {
      group: groupOf(object),
      kind: object.kind ?? "",
      namespace: place.namespaced ? (object.metadata.namespace ?? "default") : "",
      name: object.metadata.name ?? "",
      resourceVersion: stored.metadata.resourceVersion ?? "",
    };
  }

  /** Deletes the object. It is no error if it does not exist. */
  async delete(object: UntypedObject): Promise<void> {
    const place = await this.#placeOf(object);
    const answer = await this.#send("DELETE", `${pathOf(object, place)}/${object.metadata.name}?gracePeriodSeconds=0`);
    if (answer.status >= 300 && answer.status !== 404)
      throw new Error(`${describe(object)}: ${messageIn(answer.text)}`);
  }

  async get(object: UntypedObject): Promise<UntypedObject | undefined> {
    const answer = await this.#send("GET", `${pathOf(object, await this.#placeOf(object))}/${object.metadata.name}`);
    return answer.status === 200 ? (JSON.parse(answer.text) as UntypedObject) : undefined;
  }

  async waitForGroups(groups: readonly string[]): Promise<void> {
    const deadline = Date.now() + groupTimeoutMs;
    for (const group of groups) {
      while ((await this.#send("GET", `/apis/${group}`)).status !== 200) {
        if (Date.now() > deadline) throw new Error(`the API server does not serve ${group}`);
        await new Promise((resolve) => setTimeout(resolve, lookMs));
      }
    }
  }

  /** A token of the account that is bound to the pod. Its audience is the mesh's CA. */
  async token(namespace: string, account: string, pod: string): Promise<string> {
    const uid = JSON.parse(
      (await this.#send("GET", `/api/v1/namespaces/${namespace}/pods/${pod}`)).text,
    ) as UntypedObject;
    const spec = {
      audiences: ["istio-ca"],
      expirationSeconds: 43_200,
      boundObjectRef: { kind: "Pod", apiVersion: "v1", name: pod, uid: uid.metadata.uid },
    };
    const answer = await this.#send("POST", `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec,
    });
    if (answer.status >= 300) throw new Error(`a token of ${namespace}/${account}: ${messageIn(answer.text)}`);
    return (JSON.parse(answer.text) as { status: { token: string } }).status.token;
  }

  async #send(method: string, path: string, body?: unknown): Promise<Answer> {
    try {
      return await this.#askOnce(method, path, body);
    } catch (error) {
      // A server closes connections that were idle for a while, and may do so just when this one is used again.
      if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
      return await this.#askOnce(method, path, body);
    }
  }

  async #askOnce(method: string, path: string, body: unknown): Promise<Answer> {
    return await new Promise((resolve, reject) => {
      const outgoing = request(
        {
          ...this.#access,
          agent: this.#agent,
          method,
          path,
          headers: { "content-type": "application/json", "user-agent": "interop" },
        },
        (answer) => {
          let text = "";
          answer.setEncoding("utf8").on("data", (part: string) => (text += part));
          answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
        },
      );
      outgoing.on("error", reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async #placeOf(object: UntypedObject): Promise<KindPlace> {
    const version = object.apiVersion ?? "";
    let places = this.#places.get(version);
    if (places?.get(object.kind ?? "") === undefined) {
      const answer = await this.#send("GET", version.includes("/") ? `/apis/${version}` : `/api/${version}`);
      const { resources = [] } = JSON.parse(answer.text) as {
        resources?: { name: string; kind: string; namespaced: boolean }[];
      };
      places = new Map(
        resources
          .filter(({ name }) => !name.includes("/"))
          .map(({ name, kind, namespaced }) => [
            kind,
            { plural: name, namespaced, hasStatus: resources.some((other) => other.name === `${name}/status`) },
          ]),
      );
      this.#places.set(version, places);
    }
    const place = places.get(object.kind ?? "");
    if (place === undefined)
      throw new Error(`${describe(object)}: the API server does not know the kind ${object.kind ?? ""} of ${version}`);
    return place;
  }
}

function groupOf(object: UntypedObject): string {
  const version = object.apiVersion ?? "";
  return version.includes("/") ? version.slice(0, version.indexOf("/")) : "";
}

function pathOf(object: UntypedObject, place: KindPlace): string {
  const version = object.apiVersion ?? "";
  const within = place.namespaced ? `/namespaces/${object.metadata.namespace ?? "default"}` : "";
  return `${version.includes("/") ? "/apis" : "/api"}/${version}${within}/${place.plural}`;
}

function describe(object: UntypedObject): string {
  return `${object.kind ?? ""} ${object.metadata.namespace ?? ""}/${object.metadata.name}`;
}

function messageIn(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text;
  }
}
