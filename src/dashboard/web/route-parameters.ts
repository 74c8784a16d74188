/** The decoded parameters in a route's path. */
export interface RouteParameters {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
}
