/** What the API server asks a rollout engine: who writes a rollout, or whether its writer has the necessary rights. */
export type SecretPathPurpose = "author" | "review";

/**
 * The path of a rollout engine's webhook that is a secret between the engine and the API server. `digest` is a SHA-256
 * in hexadecimal digits.
 */
export function secretPath(purpose: SecretPathPurpose, digest: string): string {
  return `/${purpose}/${digest}`;
}

const secretPaths = /\/(author|review)\/[0-9a-f]{64}(?![0-9a-f])/g;

/** A text without the secret paths, for files that people pass on. */
export function withoutSecretPaths(text: string): string {
  return text.replaceAll(secretPaths, "/$1/<redacted>");
}
