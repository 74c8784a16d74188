/** Who denied a request by admission. */
export interface Denial {
  readonly by: "webhook" | "policy";
  readonly name: string;
}

const denial = /admission webhook "([^"]+)" denied the request|ValidatingAdmissionPolicy '([^']+)'.* denied request/;

/**
 * Who denied the request, from the message of the API server's answer. Its status and reason do not tell: a webhook
 * chooses both, and most denials have those of a missing right. Undefined if nobody denied it.
 */
export function denialIn(message: string): Denial | undefined {
  const [, webhook, policy] = denial.exec(message) ?? [];
  if (webhook !== undefined) return { by: "webhook", name: webhook };
  return policy === undefined ? undefined : { by: "policy", name: policy };
}

/** Whether a dry run was refused because a webhook has side effects, from the message of the API server's answer. */
export function lacksDryRun(message: string): boolean {
  return message.includes("does not support dry run");
}
