package api

func (a *API) storedMessageEndpoints() []endpoint {
	return nil
}
