/**
 * What the API server asks a rollout engine: to write down a rollout's author (`author`), or whether its writer has the
 * necessary rights (`review`).
 */
export type SecretPathPurpose = "author" | "review";

/**
 * The path of a webhook of a rollout engine. Only the engine and the API server know it. `digest` is a SHA-256 in hex.
 */
export function secretPath(purpose: SecretPathPurpose, digest: string): string {
  return `/${purpose}/${digest}`;
}

const secretPaths = /\/(author|review)\/[0-9a-f]{64}(?![0-9a-f])/g;

/** The text with its secret paths redacted, for files that people pass on. */
export function withoutSecretPaths(text: string): string {
  return text.replaceAll(secretPaths, "/$1/<redacted>");
}
