// SPDX-License-Identifier: EUPL-1.2

// Command pvgate is the gateway of the Portalverbund.
package main

func main() {}
