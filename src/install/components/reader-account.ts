import { textAt, valueAt } from "../../base/index.ts";
import type { InstallSettings } from "../settings.ts";

export const ownReaderAccount = "istio-reader-service-account";

/** The account with which control planes of other clusters read this one. */
export interface ReaderAccount {
  readonly name: string;
  readonly namespace: string;
  /** Somebody else makes the account. */
  readonly isGiven: boolean;
}

/** Undefined if `global.enableReaderRBAC` is off: control planes of other clusters get no account and no rights. */
export function readerAccount({ values, namespace }: InstallSettings): ReaderAccount | undefined {
  if (String(valueAt(values, "global", "enableReaderRBAC")) === "false") return undefined;
  const name = textAt(values, "global", "readerServiceAccount", "name");
  if (name === undefined) return { name: ownReaderAccount, namespace, isGiven: false };
  return {
    name,
    namespace: textAt(values, "global", "readerServiceAccount", "namespace") ?? namespace,
    isGiven: true,
  };
}
