import { isDnsLabel, userError } from "../base/index.ts";
import { namespaceKind } from "../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../kube/index.ts";

/** The names in the values of a repeatable flag. A value may list several names, separated by commas. */
export function namesIn(list: readonly string[]): string[] {
  return list
    .flatMap((part) => part.split(","))
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** Throws a user error if a text cannot be the name of a namespace. `place` names the flag or argument in the error. */
export function checkNamespaceNames(names: readonly string[], place: string): void {
  const wrong = names.find((name) => !isDnsLabel(name));
  if (wrong !== undefined)
    throw userError(
      "argument-invalid",
      `${place}: "${wrong}" cannot be the name of a namespace: expected lower-case letters, digits and "-"`,
    );
}

/**
 * Throws a user error for namespaces that do not exist, because the command would only print an empty table. Accepts
 * any name if the caller may not read namespaces.
 */
export async function checkNamespaces(client: KubeClient, names: readonly string[], place: string): Promise<void> {
  checkNamespaceNames(names, place);
  for (const name of names) {
    try {
      if ((await client.get(namespaceKind, name)) !== undefined) continue;
    } catch (error) {
      if (isKubeCode(error, "forbidden")) continue;
      throw error;
    }
    throw userError("object-missing", `namespace "${name}" not found`, { hint: "kubectl get namespaces lists them" });
  }
}
