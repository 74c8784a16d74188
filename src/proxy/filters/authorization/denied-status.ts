/**
 * The status for a client that an authorization service has refused. If it were not the status of a final response, the
 * client would wait for the final one, or treat the whole connection as broken.
 */
export function statusForClient(code: number | undefined): number {
  return code !== undefined && code >= 200 && code <= 599 ? code : 403;
}
