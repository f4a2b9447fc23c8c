package api

func (a *API) loginEndpoints() []endpoint {
	return nil
}
