// One attack: adds objects to a mesh, compares what others see, and removes the objects.
import { keyOf, type KubernetesObject, type UntypedObject } from "../../src/api/index.ts";
import type { Admission } from "./admission.ts";
import { AttackedMesh, type Snapshot } from "./attacked-mesh.ts";
import { harmOf } from "./harm.ts";
import { attackerGround, victimObjects } from "./victim-mesh.ts";

const groundId = (object: KubernetesObject): string => `${object.kind ?? ""} ${keyOf(object)}`;
const idOf = (object: KubernetesObject): string => `${object.apiVersion ?? ""} ${groundId(object)}`;

export class Range {
  readonly #mesh: AttackedMesh;
  readonly #before: Snapshot;

  private constructor() {
    this.#mesh = new AttackedMesh(...victimObjects, ...attackerGround);
    this.#before = this.#mesh.snapshot();
  }

  static async open(): Promise<Range> {
    const range = new Range();
    const refused = await range.#mesh.refusals(range.#before);
    if (refused.length > 0) throw new Error(refused.join("\n"));
    return range;
  }

  /** Returns what the objects do to others. After a fault, the mesh may be damaged, so open another range. */
  async faultsOf(objects: readonly KubernetesObject[]): Promise<readonly string[]> {
    const mesh = this.#mesh;
    const attacks = new Map(objects.map((object) => [idOf(object), object]));
    try {
      mesh.apply(...attacks.values());
      const after = mesh.snapshot();
      const faults = [...harmOf(this.#before, after, objects), ...(await mesh.refusals(after)), ...mesh.takeLogged()];
      const attacked = new Set(objects.map(groundId));
      const replaced = attackerGround.filter((object) => attacked.has(groundId(object)));
      mesh.remove(...attacks.values());
      mesh.apply(...replaced);
      const end = mesh.snapshot();
      const left = [...this.#before, ...end].flatMap(([place]) =>
        this.#before.get(place)?.version === end.get(place)?.version ? [] : place,
      );
      return [
        ...faults,
        ...(await mesh.refusals(end)),
        ...mesh.takeLogged(),
        ...[...new Set(left)].map((place) => `${place} differs after the removal`),
      ];
    } catch (error) {
      return [`threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`];
    }
  }
}

/** How often a smaller set of objects is tried. */
const maxAttempts = 200;

/** Removes objects and fields while the rest still causes a fault of the same kind. */
export async function smallest(
  objects: readonly KubernetesObject[],
  fault: string,
  admission: Admission,
): Promise<readonly KubernetesObject[]> {
  const stillFails = async (candidate: readonly KubernetesObject[]): Promise<boolean> => {
    const range = await Range.open();
    return (await range.faultsOf(candidate)).some((other) => other.slice(0, 40) === fault.slice(0, 40));
  };
  let best = objects;
  for (const object of objects) {
    const fewer = best.filter((other) => other !== object);
    if (fewer.length > 0 && (await stillFails(fewer))) best = fewer;
  }
  for (let attempt = 0, candidates = smallerOf(best); attempt < maxAttempts; attempt += 1) {
    const next = candidates.next();
    if (next.done === true) break;
    const isValid = next.value.every((object) => "object" in admission.admit(object as UntypedObject));
    if (!isValid || !(await stillFails(next.value))) continue;
    best = next.value;
    candidates = smallerOf(best);
  }
  return best;
}

function* smallerOf(objects: readonly KubernetesObject[]): Generator<readonly KubernetesObject[]> {
  for (const [index, object] of objects.entries())
    for (const path of pathsOf((object as { spec?: unknown }).spec, ["spec"])) {
      const copy = structuredClone(object);
      let holder: unknown = copy;
      for (const key of path.slice(0, -1)) holder = (holder as Record<string, unknown>)[key];
      const last = path.at(-1) ?? "";
      if (Array.isArray(holder)) holder.splice(Number(last), 1);
      else Reflect.deleteProperty(holder as object, last);
      yield objects.with(index, copy);
    }
}

function* pathsOf(value: unknown, path: readonly string[]): Generator<readonly string[]> {
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value)) yield [...path, key];
  for (const [key, inner] of Object.entries(value)) yield* pathsOf(inner, [...path, key]);
}
