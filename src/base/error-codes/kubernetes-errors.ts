import type { ErrorEntry } from "./error-entry.ts";

export const kubernetesErrors = {
  "kubeconfig-missing": {
    meaning: "There is no kubeconfig, and the process does not run in a pod.",
    remedy: "Set KUBECONFIG, or create a lab with `serin cluster create`.",
  },
  "kubeconfig-invalid": {
    meaning: "The kubeconfig cannot be read, is incomplete, or uses something that Serin does not support.",
    remedy: "Correct the part of the kubeconfig that the message names.",
    silent: true,
  },
  "credential-plugin-failed": {
    meaning: "The program that the kubeconfig names for credentials (`exec`) cannot run, or returns none.",
    remedy: "Run the program yourself to see why, or log in with it.",
    silent: true,
  },
  "bad-request": {
    meaning: "A client sent a request that the server cannot read.",
    remedy: "Correct the request. If the client is a part of Serin, check that both sides have compatible versions.",
  },
  unauthorized: {
    meaning: "The API server does not accept the credentials.",
    remedy: "Check the user of the kubeconfig's context. Tokens expire.",
  },
  "logged-out": {
    meaning: "The page's session has no valid credentials.",
    remedy: "Log in again.",
  },
  forbidden: {
    meaning: "The user or account may not do this.",
    remedy: "Check with `kubectl auth can-i`, and grant the right that the message names.",
    silent: true,
  },
  "rights-missing": {
    meaning: "The user lacks rights that the installation needs. Nothing was written.",
    remedy: "Grant the rights that the message lists, or install as an administrator.",
    silent: true,
  },
  "not-found": {
    meaning: "The object, path or resource does not exist.",
    remedy: "Check the name and the namespace.",
  },
  "object-missing": {
    meaning: "The cluster lacks an object that the operation needs.",
    remedy: "Check the name and the namespace, or create the object.",
  },
  "method-not-allowed": {
    meaning: "The server does not support this verb for the resource.",
    remedy: "Check that the server serves the kind in this version.",
  },
  "already-exists": {
    meaning: "An object of this name exists already.",
    remedy: "Choose another name, or change the existing object.",
  },
  conflict: {
    meaning: "Somebody else changed the object at the same time.",
    remedy: "Read the object again, and repeat the change.",
  },
  gone: {
    meaning: "The server no longer has the requested version.",
    remedy: "Read the object or the list again.",
  },
  invalid: {
    meaning: "The object has fields with values that the server or Serin refuses.",
    remedy: "Correct the fields that the message names.",
    silent: true,
  },
  "too-many-requests": {
    meaning: "The server has too many requests, or a client did not wait for an answer.",
    remedy: "Repeat the request later.",
  },
  "request-too-long": {
    meaning: "A request is larger than the server accepts.",
    remedy: "Send less at once.",
  },
  "too-long": {
    meaning: "The page's request is larger than the server accepts.",
    remedy: "Send less at once.",
  },
  unavailable: {
    meaning: "The server or one of its sources cannot answer now.",
    remedy: "Repeat the request later. If the error lasts, look at the pods that the message names.",
    silent: true,
  },
  "api-server": {
    meaning: "The API server refused a request for a reason that has no code here. The error's `reason` contains it.",
    remedy: "Read the message of the API server.",
    silent: true,
  },
  "answer-unreadable": {
    meaning: "A server's answer does not have the expected form.",
    remedy: "Check that the address leads to the expected server.",
  },
  "answer-too-long": {
    meaning: "A server's answer is longer than the program accepts.",
    remedy: "Request less, or make the requested objects smaller.",
  },
  "stream-broken": {
    meaning: "A port-forward or a command in a pod broke off.",
    remedy: "Repeat the command. Check that the pod still runs.",
  },
  "stream-refused": {
    meaning: "The server did not open a port-forward or a command in a pod.",
    remedy: "Check that the pod runs, and that no proxy in between blocks upgrades of connections.",
  },
  "watch-behind": {
    meaning: "Objects change faster than the relay reads one of them.",
    remedy: "Nothing. The reader tries again.",
    silent: true,
  },
  "not-watched": {
    meaning: "Nobody watches the object's kind through this relay.",
    remedy: "Nothing. The relay's user reads the object from the API server.",
    silent: true,
  },
  "read-late": {
    meaning: "The API server answered with a version that this process has already replaced.",
    remedy: "Nothing. The process reads again.",
    silent: true,
  },
  "not-leading": {
    meaning: "The process may no longer be the leader, so it writes nothing.",
    remedy: "Nothing. The leader continues.",
    silent: true,
  },
  "review-failed": {
    meaning: "The API server did not answer a TokenReview or SubjectAccessReview.",
    remedy: "Check that the API server answers, and that the account may create reviews.",
  },
  "token-refused": {
    meaning: "The API server gave no token for a service account.",
    remedy: "Check that the service account exists, and that the caller may create tokens for it.",
  },
  "webhook-failed": {
    meaning: "The API server could not call an admission webhook.",
    remedy: "Check the Service and the pods of the webhook, or delete its configuration.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
