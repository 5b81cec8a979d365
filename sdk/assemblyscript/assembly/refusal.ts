/** Why a route says no: a client's 406, or the reason of a failed message. */
export class Refusal {
  constructor(public reason: string) {}
}
