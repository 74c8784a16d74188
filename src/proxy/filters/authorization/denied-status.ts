/**
 * The status for a client that an authorization service has refused: the service's own status if it is final, otherwise
 * 403. With an interim status, the client would wait for a final one, or treat the whole connection as broken.
 */
export function statusForClient(code: number | undefined): number {
  return code !== undefined && code >= 200 && code <= 599 ? code : 403;
}
